/**
 * text.js - what stands in a message: addresses become links, a few emoji alone are enlarged, everything else is text.
 * Nothing here makes markup of strings.
 */

/** Addresses of the schemes that are harmless to follow. */
const ADDRESS = /\b(?:https?:\/\/|mailto:)[^\s<>"“”«»]+/giu;

/** Emoji that make a message large when nothing else is in it. */
const LARGE_EMOJI_MAX = 3;

const EMOJI = /^(?:\p{Extended_Pictographic}|\p{Regional_Indicator}{2}|[0-9#*]\uFE0F?\u20E3)/u;

/**
 * @typedef {{ text: string, href: string }} Piece href: empty for plain text
 */

/**
 * Cuts a text at its addresses.
 *
 * @param {string} text
 * @returns {Piece[]}
 */
export function splitAtLinks(text) {
  /** @type {Piece[]} */
  const pieces = [];
  let end = 0;
  for (const match of text.matchAll(ADDRESS)) {
    const address = trimAddress(match[0]);
    if (!isAddress(address)) continue;
    if (match.index > end) pieces.push({ text: text.slice(end, match.index), href: '' });
    pieces.push({ text: address, href: address });
    end = match.index + address.length;
  }
  if (end < text.length) pieces.push({ text: text.slice(end), href: '' });
  return pieces;
}

/** @type {Record<string, string>} */
const OPENING = { ')': '(', ']': '[', '}': '{' };

/**
 * Leaves out what belongs to the sentence: the full stop behind an address, the bracket around it.
 *
 * @param {string} address
 */
function trimAddress(address) {
  const count = (/** @type {string} */ character) => address.split(character).length - 1;
  const isOutside = (/** @type {string} */ last) =>
    /[.,;:!?'*_~]/.test(last) || (last in OPENING && count(last) > count(String(OPENING[last])));
  while (isOutside(address.slice(-1))) address = address.slice(0, -1);
  return address;
}

/** @param {string} address */
function isAddress(address) {
  try {
    const { protocol, hostname, pathname } = new URL(address);
    return protocol === 'mailto:' ? pathname.includes('@') : hostname !== '';
  } catch {
    return false;
  }
}

/**
 * Whether a text is one to three emoji and nothing else.
 *
 * @param {string} text
 */
export function isLargeEmoji(text) {
  const trimmed = text.trim();
  /* The longest emoji are families of some 25 units. */
  if (trimmed === '' || trimmed.length > LARGE_EMOJI_MAX * 35 || typeof Intl.Segmenter !== 'function') return false;
  const graphemes = [...new Intl.Segmenter().segment(trimmed)].map(({ segment }) => segment).filter((one) => one !== ' ');
  return graphemes.length <= LARGE_EMOJI_MAX && graphemes.every((grapheme) => EMOJI.test(grapheme));
}

/**
 * Puts a message's text into an element.
 *
 * @param {HTMLElement} element
 * @param {string} text
 */
export function setMessageText(element, text) {
  element.replaceChildren(
    ...splitAtLinks(text).map((piece) => {
      if (piece.href === '') return document.createTextNode(piece.text);
      const link = document.createElement('a');
      link.href = piece.href;
      link.textContent = piece.text;
      link.target = '_blank';
      link.rel = 'noopener noreferrer nofollow';
      return link;
    }),
  );
  element.toggleAttribute('data-large', isLargeEmoji(text));
}
