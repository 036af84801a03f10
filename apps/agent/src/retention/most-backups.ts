/** Further back no copy is made up for, and none waited for: each is listed and judged. */
export const mostBackups = 500;
