/** Español: véase strings.js. */

/**
 * @param {number} n
 * @param {string} one
 * @param {string} many
 */
const plural = (n, one, many) => (n === 1 ? one : `${n.toLocaleString('es')} ${many}`);

/** @type {import('../strings.js').Strings} */
export default {
  /* the frame */
  skipToWriting: 'Ir a escribir',
  rooms: 'Salas',
  openRooms: 'Salas',
  closeRooms: 'Cerrar la lista de salas',
  openRoomsUnread: (n) => `Salas, ${plural(n, 'un mensaje sin leer', 'mensajes sin leer')}`,
  joinRoom: 'Entrar en una sala o crearla',
  settings: 'Ajustes',
  close: 'Cerrar',
  cancel: 'Cancelar',
  needsScript: 'Esta página necesita JavaScript.',

  /* the list of rooms */
  unread: (n) => plural(n, 'un mensaje sin leer', 'mensajes sin leer'),
  nothingYet: 'Aún no hay mensajes',
  you: 'Tú',

  /* joining */
  roomName: 'Nombre de la sala',
  roomNameHint: 'Quien escriba el mismo nombre estará en la misma sala. Letras sin acento, cifras y _ . ~ - en medio; 64 como máximo.',
  roomNameInvalid: 'El nombre de una sala solo lleva A–Z, a–z, 0–9 y _ . ~ -, empieza por letra o cifra y tiene 64 caracteres como máximo.',
  join: 'Entrar',
  tooManyRooms: (max) => `Estás en ${max} salas, que es el máximo. Sal de alguna primero.`,
  cannotBeRoom: (name) => `«${name}» no puede ser el nombre de una sala.`,
  copyLink: 'Copiar el enlace de esta sala',
  linkCopied: 'Enlace copiado: quien lo abra estará en esta sala.',
  linkIs: (link) => `El enlace de esta sala: ${link}`,
  leaveRoom: 'Salir de esta sala',
  leaveUnsent: (name) => `Hay mensajes sin enviar en ${name}. ¿Salir y perderlos?`,
  left: (name) => `Has salido de ${name}.`,

  /* people */
  people: (n) => `${n.toLocaleString('es')} aquí`,
  peopleTitle: 'Quién está aquí',
  peopleTooMany: (n) => `Hay ${n.toLocaleString('es')} personas: demasiadas para nombrarlas.`,
  nameless: 'anónimo',
  typing: (names, more) => {
    if (more > 0) return `${names.join(', ')} y ${more} más están escribiendo`;
    if (names.length === 1) return `${names[0]} está escribiendo`;
    return `${names.slice(0, -1).join(', ')} y ${names[names.length - 1]} están escribiendo`;
  },

  /* messages */
  messages: 'Mensajes',
  empty: 'Aquí aún no se ha dicho nada.',
  emptyHint: 'La primera palabra puede ser la tuya.',
  beginning: 'Aquí empieza la sala.',
  loadingOlder: 'Cargando mensajes anteriores…',
  cannotLoad: 'No se ha podido cargar más.',
  tryAgain: 'Reintentar',
  unreadLine: 'Nuevos',
  toNewest: 'Mensajes más recientes',
  newMessages: (n) => plural(n, '1 mensaje nuevo', 'mensajes nuevos'),
  toUnread: (n) => `${plural(n, 'un mensaje sin leer', 'mensajes sin leer')} más arriba`,
  said: (author, text) => `${author}: ${text}`,

  /* delivery */
  sending: 'enviando…',
  sent: 'enviado',
  failed: 'no enviado',
  notSent: (reason) => `No enviado: ${reason}`,
  edit: 'Editar',
  discard: 'Descartar',
  noAnswer: 'El servidor no ha respondido.',
  refusedMessage: 'El servidor lo ha rechazado.',

  /* the composer */
  speakingAs: 'Hablas como',
  message: 'Mensaje',
  writeMessage: 'Escribe un mensaje',
  writeIn: (room) => `Escribe en ${room}`,
  send: 'Enviar',
  keyHint: 'Intro envía, Mayús + Intro empieza otra línea',
  bytesLeft: (n) => (n === 1 ? 'queda un byte' : `quedan ${n.toLocaleString('es')} bytes`),
  bytesOver: (n) => `Sobran ${plural(n, 'un byte', 'bytes')}`,

  /* the connection */
  connecting: 'Conectando…',
  connected: 'Conectado',
  recovered: 'Conectado',
  offline: 'Sin conexión',
  noConnection: 'No hay conexión con el servidor. Lo que escribas se guarda y saldrá después.',
  noNetwork: 'Este dispositivo no tiene red. Lo que escribas se guarda y saldrá después.',
  retryIn: (seconds) => `Próximo intento en ${seconds} s`,
  now: 'Intentar ahora',
  caughtUp: (n) => `Al día: ${plural(n, 'un mensaje recuperado', 'mensajes recuperados')}`,
  backAgain: 'Conectado de nuevo',
  sessionEnded: 'El servidor ha terminado esta sesión.',
  refused: (why) => `El servidor no deja entrar aquí: ${why}.`,
  serverTrouble: 'Algo ha fallado en el servidor.',
  restored: 'Esta sala se ha restaurado de una copia. Pueden faltar sus últimos mensajes.',
  details: 'Conexión',
  detailState: 'Estado',
  detailTransport: 'Transporte',
  detailGateway: 'Gateway',
  detailLatency: 'Tiempo de respuesta',
  detailCommit: 'Último mensaje guardado en',
  milliseconds: (n) => `${n < 10 ? n.toFixed(1) : Math.round(n)} ms`,

  /* settings */
  name: 'Nombre',
  nameHint: 'Lo que ven los demás. Se guarda en este navegador.',
  appearance: 'Aspecto',
  themeSystem: 'Como el sistema',
  themeLight: 'Claro',
  themeDark: 'Oscuro',
  density: 'Densidad',
  comfortable: 'Cómoda',
  compact: 'Compacta',
  language: 'Idioma',
  languageHint: 'Al cambiarlo, la página se vuelve a cargar.',
  notify: 'Avísame de los mensajes nuevos cuando estoy en otra parte',
  notifyDenied: 'Este navegador no deja que la página te avise. Permítelo en los ajustes del navegador para este sitio.',
  sound: 'Con un sonido',
};
