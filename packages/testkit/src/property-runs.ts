/**
 * How many cases a property test that names its own number looks at: ten times as many in the long form.
 * @param usual in `npm test`
 */
export function propertyRuns(usual: number): number {
  return process.env['STRIDEIQ_TEST_LONG'] === '1' ? usual * 10 : usual;
}
