/** Bytes of the largest message that the control plane takes from an agent; a connection that sends more is closed. */
export const mostMessageBytes = 1024 * 1024;

/** Bytes of one batch of reports as JSON. A single report is never larger. */
export const mostBatchBytes = 256 * 1024;

/** Reports of one batch. */
export const mostBatchReports = 500;

/** Characters of an error or a warning; longer ones are cut by the sender, and refused by the receiver. */
export const mostTextLength = 8000;

/** Differences of one store that a report tells of: whoever has more has one trouble and not a thousand. */
export const mostReportedDrift = 200;

/** How long an agent keeps reports that were acknowledged, so that a catalog restored from an older copy can be told again. */
export const keepReportsMs = 30 * 24 * 60 * 60 * 1000;

/** How often either side asks whether the other is there, and how long it waits for the answer: a half-open connection is noticed in their sum. */
export const keepAlive = { intervalMs: 10_000, answerMs: 8_000 };

/** An agent sends the progress of its runs at most this often. */
export const progressIntervalMs = 1000;

/** An agent tells its facts this often. */
export const heartbeatIntervalMs = 30_000;

/** The path of the WebSocket, and the one where a token is traded for a credential. */
export const agentPath = '/agent';
export const enrolPath = '/agent/enrol';
