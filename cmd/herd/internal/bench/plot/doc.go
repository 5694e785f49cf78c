// Package plot draws lines, bars and columns over axes as SVG: what load tests measure, for a page or a file. The picture needs nothing else and is readable
// on light and on dark ground, whichever the reader prefers. The same chart makes the same bytes.
package plot
