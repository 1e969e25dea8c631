/** The file of the session's thread. The build replaces this module for CommonJS. */
export const THREAD_FILE: string | URL = new URL("./session-thread.js", import.meta.url);
