import { noticeStates, paragraphOf } from '@strideiq/core';
import { recordAudit } from '../audit/audit.ts';
import type { Catalog } from '../catalog/open-catalog.ts';
import { notices } from '../catalog/schema.ts';
import type { Notice } from '../channels/notice.ts';
import type { Channel } from '../channels/open-channel.ts';

/** How long somebody who tries a channel waits. */
const limitMs = 30_000;

/** Sends a message that says that it is a test, once. @throws ControlPlaneError `ChannelFailed` */
export async function testChannel(
  { catalog, now, publicUrl }: { catalog: Catalog; now: () => number; publicUrl: string | undefined },
  channel: Channel,
  { id, actor }: { id: string; actor: string },
): Promise<void> {
  const at = now();
  const notice: Notice = {
    id,
    group: `test/${id}`,
    kind: 'test',
    severity: 'info',
    environment: null,
    rule: null,
    title: 'Test: StrideIQ Backup can reach this channel',
    meaning: 'Somebody tries whether alerts arrive here. Nothing is wrong.',
    cure: '',
    alerts: [],
    more: 0,
    link: publicUrl ?? null,
    at,
  };
  const error = await channel.send(notice, AbortSignal.timeout(limitMs)).then(
    () => undefined,
    (cause: unknown) => cause,
  );
  const state = noticeStates.move(noticeStates.initial, error === undefined ? 'sent' : 'failed');
  const text = error === undefined ? null : paragraphOf(error);
  const row = { id, channel: channel.name, group: notice.group, notice, createdAt: at, attempts: 1, nextAttemptAt: at };
  catalog.transaction(
    (tx) => {
      tx.insert(notices)
        .values({ ...row, state, error: text, endedAt: now() })
        .run();
      recordAudit(
        tx,
        { actor, action: 'channel.test', subject: channel.name, detail: { arrived: text === null } },
        now(),
      );
    },
    { behavior: 'immediate' },
  );
  if (error !== undefined) throw error;
}
