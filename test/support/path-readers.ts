/**
 * How servers of various makes read a path before they look for a resource: each gives the segments it would act on.
 *
 * A gate is sound when no reader finds a resource that the decision was not about.
 */
export const pathReaders: Readonly<Record<string, (target: string) => readonly string[]>> = {
  whatwg: (target) => split(new URL(`http://api.test${dropQuery(target)}`).pathname),
  decodeOnce: (target) => split(resolveDots(decode(dropQuery(target)))),
  decodeTwice: (target) => split(resolveDots(decode(decode(dropQuery(target))))),
  pathParameters: (target) =>
    split(
      resolveDots(
        dropQuery(target)
          .split('/')
          .map((segment) => decode(segment.split(';')[0] ?? ''))
          .join('/'),
      ),
    ),
  backslashes: (target) => split(resolveDots(decode(dropQuery(target)).replaceAll('\\', '/'))),
  mergingSlashes: (target) => split(resolveDots(decode(dropQuery(target)).replaceAll(/\/+/g, '/'))),
  caseless: (target) => split(resolveDots(decode(dropQuery(target)).toLowerCase())),
  trimming: (target) => split(resolveDots(trim(decode(dropQuery(target))))),
  cString: (target) => split(resolveDots(decode(dropQuery(target)).split('\0')[0] ?? '')),
  folding: (target) => split(resolveDots(decode(dropQuery(target)).normalize('NFKC'))),
  foldingAndTrimming: (target) => split(resolveDots(trim(decode(dropQuery(target)).normalize('NFKC')))),
}

function dropQuery(target: string): string {
  return target.split(/[?#]/)[0] ?? ''
}

/** Percent-decoding as lenient servers do it: broken escapes stay as they are, bytes become characters. */
function decode(text: string): string {
  const bytes = text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  const utf8 = Buffer.from(bytes, 'latin1').toString('utf8')
  return utf8.includes('\ufffd') ? bytes : utf8
}

/** Drops the dots and spaces at the end of names, as file systems of Windows do. */
function trim(path: string): string {
  return path
    .split('/')
    .map((segment) => (/^\.{1,2}$/.test(segment) ? segment : segment.replace(/[. ]+$/, '')))
    .join('/')
}

/** RFC 3986 §5.2.4 on segments. */
function resolveDots(path: string): string {
  const kept: string[] = []
  for (const segment of path.split('/').slice(1)) {
    if (segment === '..') kept.pop()
    else if (segment !== '.') kept.push(segment)
  }
  return `/${kept.join('/')}`
}

function split(path: string): readonly string[] {
  return path.split('/').filter((segment) => segment !== '')
}
