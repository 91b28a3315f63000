/* The gateway serves the client's bundle beside the page; its types are those of the npm package. */
declare module '*/socket.io.esm.min.js' {
  export * from 'socket.io-client';
}
