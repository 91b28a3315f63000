/*
 * theme.js - light or dark before the first paint. A classic script, since modules run after it.
 */
(() => {
  try {
    const settings = JSON.parse(localStorage.getItem('parley.settings') ?? '{}');
    if (settings?.theme === 'light' || settings?.theme === 'dark') document.documentElement.dataset.theme = settings.theme;
    if (settings?.density === 'compact') document.documentElement.dataset.density = 'compact';
  } catch {
    /* The system's choice, then. */
  }
})();
