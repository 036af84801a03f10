import { alertRules } from '@strideiq/core';
import type { Notice } from './notice.ts';
import { alertLine, headlineOf, oneLine, shortened } from './words.ts';

/** PagerDuty's own limits (https://developer.pagerduty.com/docs/events-api-v2/trigger-events/). */
const [mostSummary, mostDedupKey] = [1024, 255];

/**
 * Events for the Events API v2: a group of alerts is one incident, by its `dedup_key`, which is triggered again with each
 * message while it goes on, and resolved with its last alert. What a test opens it closes. A digest is nobody's incident.
 */
export function pagerDutyEvents(notice: Notice, routingKey: string): object[] {
  const { kind, group, severity, environment, rule, alerts, more, meaning, cure, link, at } = notice;
  if (kind === 'digest') return [];
  const key = { routing_key: routingKey, dedup_key: shortened(`strideiq/${group}`, mostDedupKey) };
  const resolve = { ...key, event_action: 'resolve' };
  if (kind === 'resolved') return [resolve];
  const trigger = {
    ...key,
    event_action: 'trigger',
    payload: {
      summary: shortened(headlineOf(notice), mostSummary),
      source: environment ?? 'StrideIQ control plane',
      severity: kind === 'test' ? 'info' : severity,
      timestamp: new Date(at).toISOString(),
      component: oneLine(alerts[0]?.subject ?? 'StrideIQ'),
      group,
      class: rule === null ? 'Test' : alertRules[rule].title,
      custom_details: {
        alerts: [...alerts.map((alert) => alertLine(alert, at)), ...(more > 0 ? [`And ${more} more.`] : [])],
        meaning,
        cure,
      },
    },
    client: 'StrideIQ Backup',
    ...(link === null ? {} : { client_url: link, links: [{ href: link, text: 'Look at it' }] }),
  };
  return kind === 'test' ? [trigger, resolve] : [trigger];
}
