/** English: see strings.js. Functions are for what depends on a number or a name. */

/**
 * @param {number} n
 * @param {string} one
 * @param {string} many
 */
const plural = (n, one, many) => (n === 1 ? one : `${n.toLocaleString('en')} ${many}`);

export default {
  /* the frame */
  skipToWriting: 'Skip to writing',
  rooms: 'Rooms',
  openRooms: 'Rooms',
  closeRooms: 'Close the list of rooms',
  openRoomsUnread: (/** @type {number} */ n) => `Rooms, ${plural(n, 'one unread message', 'unread messages')}`,
  joinRoom: 'Join or make a room',
  settings: 'Settings',
  close: 'Close',
  cancel: 'Cancel',
  needsScript: 'This page needs JavaScript.',

  /* the list of rooms */
  unread: (/** @type {number} */ n) => plural(n, 'one unread message', 'unread messages'),
  nothingYet: 'Nothing said yet',
  you: 'You',

  /* joining */
  roomName: 'Name of the room',
  roomNameHint: 'Whoever enters the same name is in the same room. Letters, digits and _ . ~ - in between, at most 64.',
  roomNameInvalid: 'A room’s name is of A–Z, a–z, 0–9 and _ . ~ - only, begins with a letter or digit and has at most 64 characters.',
  join: 'Join',
  tooManyRooms: (/** @type {number} */ max) => `You are in ${max} rooms, which is the most there can be. Leave one first.`,
  cannotBeRoom: (/** @type {string} */ name) => `“${name}” cannot be the name of a room.`,
  copyLink: 'Copy the link to this room',
  linkCopied: 'The link is copied: whoever opens it is in this room.',
  linkIs: (/** @type {string} */ link) => `The link to this room: ${link}`,
  leaveRoom: 'Leave this room',
  leaveUnsent: (/** @type {string} */ name) => `There are messages in ${name} that are not sent. Leave, and lose them?`,
  left: (/** @type {string} */ name) => `You have left ${name}.`,

  /* people */
  people: (/** @type {number} */ n) => `${n.toLocaleString('en')} here`,
  peopleTitle: 'Who is here',
  peopleTooMany: (/** @type {number} */ n) => `${n.toLocaleString('en')} people are here: too many to name.`,
  nameless: 'anonymous',
  typing: (/** @type {string[]} */ names, /** @type {number} */ more) => {
    if (more > 0) return `${names.join(', ')} and ${more} more are typing`;
    if (names.length === 1) return `${names[0]} is typing`;
    return `${names.slice(0, -1).join(', ')} and ${names[names.length - 1]} are typing`;
  },

  /* messages */
  messages: 'Messages',
  empty: 'Nothing has been said here yet.',
  emptyHint: 'Yours could be the first word.',
  beginning: 'This is where the room begins.',
  loadingOlder: 'Loading older messages…',
  cannotLoad: 'Could not load more.',
  tryAgain: 'Try again',
  unreadLine: 'New',
  toNewest: 'Newest messages',
  newMessages: (/** @type {number} */ n) => plural(n, '1 new message', 'new messages'),
  toUnread: (/** @type {number} */ n) => `${plural(n, 'one unread message', 'unread messages')} above`,
  said: (/** @type {string} */ author, /** @type {string} */ text) => `${author}: ${text}`,

  /* delivery */
  sending: 'sending…',
  sent: 'sent',
  failed: 'not sent',
  notSent: (/** @type {string} */ reason) => `Not sent: ${reason}`,
  edit: 'Edit',
  discard: 'Discard',
  noAnswer: 'The server has not answered.',
  refusedMessage: 'The server has refused it.',

  /* the composer */
  speakingAs: 'Speaking as',
  message: 'Message',
  writeMessage: 'Write a message',
  writeIn: (/** @type {string} */ room) => `Write in ${room}`,
  send: 'Send',
  keyHint: 'Enter sends, Shift + Enter starts a new line',
  bytesLeft: (/** @type {number} */ n) => plural(n, 'one byte left', 'bytes left'),
  bytesOver: (/** @type {number} */ n) => `Too long by ${plural(n, 'one byte', 'bytes')}`,

  /* the connection */
  connecting: 'Connecting…',
  connected: 'Connected',
  recovered: 'Connected',
  offline: 'Offline',
  noConnection: 'No connection to the server. What you write is kept and goes out later.',
  noNetwork: 'This device is offline. What you write is kept and goes out later.',
  retryIn: (/** @type {number} */ seconds) => `Next try in ${seconds} s`,
  now: 'Try now',
  caughtUp: (/** @type {number} */ n) => `Caught up on ${plural(n, 'one message', 'messages')}`,
  backAgain: 'Connected again',
  sessionEnded: 'The server has ended this session.',
  refused: (/** @type {string} */ why) => `The server lets nobody in here: ${why}.`,
  serverTrouble: 'Something went wrong on the server.',
  restored: 'This room was restored from a backup. Its latest messages may be missing.',
  details: 'Connection',
  detailState: 'State',
  detailTransport: 'Transport',
  detailGateway: 'Gateway',
  detailLatency: 'Answer time',
  detailCommit: 'Last message stored in',
  milliseconds: (/** @type {number} */ n) => `${n < 10 ? n.toFixed(1) : Math.round(n)} ms`,

  /* settings */
  name: 'Name',
  nameHint: 'What others see. Kept in this browser.',
  appearance: 'Appearance',
  themeSystem: 'Like the system',
  themeLight: 'Light',
  themeDark: 'Dark',
  density: 'Density',
  comfortable: 'Comfortable',
  compact: 'Compact',
  language: 'Language',
  languageHint: 'The page is loaded again when you change it.',
  notify: 'Notify me of new messages while I am elsewhere',
  notifyDenied: 'This browser does not let the page notify you. Allow it in the browser’s settings for this site.',
  sound: 'Play a sound with them',
};
