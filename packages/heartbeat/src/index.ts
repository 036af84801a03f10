export { heartbeatSchema, heartbeatUrl, type HeartbeatConfiguration } from './heartbeat-url.ts';
export { ping, type Ping } from './ping.ts';
