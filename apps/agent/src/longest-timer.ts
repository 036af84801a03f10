/** setTimeout's own limit, 24.8 days: what is longer fires at once. */
export const longestTimerMs = 2 ** 31 - 1;
