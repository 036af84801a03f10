/**
 * `docs/benchmarks.md`: a text around sections, of which each is written by the run that measured it and keeps what it
 * says until the next one does.
 */
const sections = ['dump', 'restore', 's3', 'growth'] as const;

export type Section = (typeof sections)[number];

const titles: Record<Section, string> = {
  dump: 'Making a dump',
  restore: 'Restoring it',
  s3: 'To S3, and one table back from there',
  growth: 'As the database grows',
};

const intro = `# Benchmarks

Written by \`npm run bench\`, which measures us and the stock tools side by side on one machine, in rounds, one contender
after another. Figures are medians; a ratio is the median of the ratios within each round, and counts for more than
seconds do: another machine has other seconds. *Spread* is how far the rounds lie apart.

The database is the sample of our tests, on a throw-away PostgreSQL that forces nothing to its disk and writes its log as
one with replicas does. Ours is the agent as it ships, as a whole program: it finds the server, checks privileges, makes
dump, manifest, owners and grants, or, restoring, checks signature and checksums before it runs them, counts every row and
analyses. Stock tools do none of that here. CPU is that of all programs that take part, and of the server's processes;
peak memory is the agent's own. MB are 10⁶ bytes.

What a logical dump cannot win: pgBackRest copies the same database's files in a fraction of these times, and restic
keeps a repeated dump in next to no new bytes.
`;

const begin = (section: Section): string => `<!-- ${section} -->`;
const end = (section: Section): string => `<!-- /${section} -->`;

/**
 * @param before the file as it stands, empty where there is none
 * @param measured new text of some sections
 */
export function withSections(before: string, measured: ReadonlyMap<Section, string>): string {
  const parts = sections.map((section) => {
    const text = measured.get(section) ?? sectionOf(before, section) ?? 'Not measured yet.';
    return `## ${titles[section]}\n\n${begin(section)}\n${text.trim()}\n${end(section)}\n`;
  });
  return [intro, ...parts].join('\n');
}

function sectionOf(text: string, section: Section): string | undefined {
  const from = text.indexOf(begin(section));
  const to = text.indexOf(end(section));
  return from < 0 || to < from ? undefined : text.slice(from + begin(section).length, to);
}
