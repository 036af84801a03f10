/** Further back no copy is made up for, and none waited for: each is listed and judged. Three weeks of one each quarter of an hour. */
export const mostBackups = 2000;
