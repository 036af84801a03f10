import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CoreError } from './errors.ts';
import { alertStates, backupStates, commandStates, copyStates, runStates, type States } from './states.ts';

/** Every step that architecture.md ("States") allows, written once more and by hand; every other is refused. */
const tables: [States<string>, string][] = [
  [
    runStates,
    `queued dispatched, queued running, queued cancelled, queued expired,
     dispatched running, dispatched failed, dispatched cancelled, dispatched expired, dispatched lost,
     running cancelling, running succeeded, running failed, running lost,
     cancelling cancelled, cancelling succeeded, cancelling failed, cancelling lost,
     expired running, expired succeeded, expired failed, expired cancelled,
     lost succeeded, lost failed, lost cancelled`,
  ],
  [
    copyStates,
    `uploading stored, uploading failed,
     stored verified, stored corrupt, stored missing, stored deleting,
     verified verified, verified corrupt, verified missing, verified deleting,
     corrupt uploading, corrupt verified, corrupt missing, corrupt deleting,
     missing uploading, missing stored, missing verified, missing deleting,
     deleting deleted, deleting locked, deleting stored, deleting missing,
     locked deleting, locked verified, locked corrupt, locked missing,
     failed uploading`,
  ],
  [backupStates, 'running succeeded, running failed'],
  [
    commandStates,
    `queued delivered, queued expired,
     delivered delivered, delivered acknowledged, delivered refused, delivered expired,
     acknowledged done, acknowledged expired, acknowledged refused,
     expired acknowledged`,
  ],
  [
    alertStates,
    `open acknowledged, open silenced, open resolved, acknowledged silenced, acknowledged resolved,
     silenced open, silenced acknowledged, silenced resolved`,
  ],
];

const kinds = tables.map(([states, text]) => ({
  kind: states.kind,
  states,
  steps: new Set(text.split(',').map((step) => step.trim().replaceAll(/\s+/g, ' '))),
}));

describe.each(kinds)('$kind', ({ states, steps, kind }) => {
  const pairs = states.all.flatMap((from) => states.all.map((to) => ({ from, to })));

  it.each(pairs)('$from to $to', ({ from, to }) => {
    const moved = attempt(() => states.move(from, to));
    expect(states.canMove(from, to)).toBe(steps.has(`${from} ${to}`));
    expect(moved).toBe(steps.has(`${from} ${to}`) ? to : `A ${kind} cannot go from ${from} to ${to}.`);
  });

  it('names in its error what may follow, or that nothing may', () => {
    for (const from of states.all) {
      const may = [...steps].flatMap((step) => (step.startsWith(`${from} `) ? [step.slice(from.length + 1)] : []));
      const cannot = states.all.find((to) => !may.includes(to));
      if (cannot === undefined) continue;
      const cure = `From ${from} it can go to: ${may.length === 0 ? 'nothing, it is final' : may.join(', ')}.`;
      expect(() => states.move(from, cannot)).toThrow(expect.objectContaining({ code: 'IllegalTransition', cure }));
    }
  });

  it('is final where nothing follows, and can always come to an end', () => {
    for (const from of states.all) {
      expect(states.isFinal(from)).toBe(!states.all.some((to) => steps.has(`${from} ${to}`)));
      expect(reachable(states, from).some((state) => states.isFinal(state))).toBe(true);
    }
  });

  it('reaches every state from the first', () => {
    expect(reachable(states, states.initial).toSorted()).toEqual(states.all.toSorted());
  });

  it('knows a way wherever there is one, made of steps that are allowed, and none shorter', () => {
    for (const { from, to } of pairs) {
      const way = states.path(from, to);
      expect(way !== undefined).toBe(reachable(states, from).includes(to));
      expect(way?.at(-1) ?? from).toBe(way === undefined ? from : to);
      for (const [at, step] of (way ?? []).entries()) {
        expect(steps.has(`${way?.[at - 1] ?? from} ${step}`)).toBe(true);
      }
      expect(way === undefined || way.length <= 1 || !states.canMove(from, to)).toBe(true);
    }
  });

  it('stays within its table on any walk, whatever is asked of it', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...states.all), { maxLength: 30 }), (asked) => {
        let state = states.initial;
        for (const to of asked) {
          const before = state;
          const refused = attempt(() => (state = states.move(state, to))) !== to;
          expect(refused).toBe(!steps.has(`${before} ${to}`));
          expect(state).toBe(refused ? before : to);
          expect(states.isFinal(before) && !refused).toBe(false);
        }
      }),
    );
  });
});

it('goes through what was done rather than through what was thought from afar', () => {
  expect(runStates.path('queued', 'succeeded')).toEqual(['running', 'succeeded']);
  expect(runStates.path('dispatched', 'succeeded')).toEqual(['running', 'succeeded']);
  expect(runStates.path('running', 'cancelled')).toEqual(['cancelling', 'cancelled']);
  expect(commandStates.path('queued', 'done')).toEqual(['delivered', 'acknowledged', 'done']);
});

function reachable(states: States<string>, from: string): string[] {
  const found = new Set([from]);
  for (const state of found) for (const to of states.all) if (states.canMove(state, to)) found.add(to);
  return [...found];
}

/** What `move` gave, or said in refusing it. */
function attempt(move: () => string): string {
  try {
    return move();
  } catch (error) {
    return error instanceof CoreError ? error.message : String(error);
  }
}
