import { describe, expect, test } from 'vitest';
import { TocReader } from './toc.ts';

function item(name: string, type: string, schema: string, owner = '-'): string {
  return `-- Name: ${name}; Type: ${type}; Schema: ${schema}; Owner: ${owner}`;
}

describe('TocReader', () => {
  test('reads items, with their data, owner and tablespace', () => {
    const reader = new TocReader();
    expect(reader.read('-- Name: f(integer, text); Type: FUNCTION; Schema: public; Owner: app')).toBe(true);
    expect(reader.item).toEqual({ name: 'f(integer, text)', type: 'FUNCTION', schema: 'public', owner: 'app' });
    expect(reader.read(`-- Data for ${item('t', 'TABLE DATA', 's').slice(3)}`)).toBe(true);
    expect(reader).toMatchObject({ section: 'data', item: { name: 't', type: 'TABLE DATA', schema: 's' } });
    expect(reader.read(`-- Statistics for ${item('t', 'STATISTICS DATA', 's').slice(3)}`)).toBe(true);
    expect(reader).toMatchObject({ section: 'data', item: { name: 't', type: 'STATISTICS DATA', schema: 's' } });
    expect(reader.read(`${item('i', 'INDEX', 's')}; Tablespace: fast`)).toBe(true);
    expect(reader).toMatchObject({ section: 'post-data', item: { name: 'i', tablespace: 'fast' } });
    expect(reader.read(item('acl', 'ACL', '-'))).toBe(true);
    expect(reader.section).toBe('post-data');
    for (const line of ['-- Name: x', '--', '-- Started on 2026-01-11', ` ${item('t', 'TABLE', 's')}`]) {
      expect(reader.read(line)).toBe(false);
    }
  });

  test('goes straight to post-data where there is no data, and never back', () => {
    const reader = new TocReader();
    reader.read(item('i', 'INDEX', 'public'));
    reader.read(item('t', 'TABLE DATA', 'public'));
    expect(reader.section).toBe('post-data');
  });

  test('is not led to another section by names', () => {
    const reader = new TocReader();
    const evil = 's; Type: INDEX; Schema: x';
    const owner = 'o; Owner: p';
    reader.read(item(evil, 'SCHEMA', '-', owner));
    expect(reader).toMatchObject({ section: 'pre-data', item: { name: evil, type: 'SCHEMA', owner } });
    reader.read(item('a', 'TABLE', evil, owner));
    expect(reader).toMatchObject({ section: 'pre-data', item: { name: 'a', type: 'TABLE', schema: evil, owner } });
    reader.read(item('a; Type: TRIGGER; Schema: y; Owner: z', 'TABLE DATA', evil, owner));
    expect(reader).toMatchObject({ section: 'data', item: { type: 'TABLE DATA', schema: evil } });
    reader.read(item('i', 'INDEX', evil, owner));
    expect(reader).toMatchObject({ section: 'post-data', item: { name: 'i', type: 'INDEX', schema: evil } });
  });
});
