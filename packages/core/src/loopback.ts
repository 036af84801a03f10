/** The names by which a machine calls itself (RFC 6761 6.3, RFC 1122 3.2.1.3, RFC 4291 2.5.3). */
const loopback = /^(?:(?:[^.]+\.)*localhost|127(?:\.\d+){3}|\[?::1\]?)$/i;

/** Whether what is sent to this host never leaves the machine, and so may go unencrypted. */
export function isLoopback(hostname: string): boolean {
  return loopback.test(hostname);
}
