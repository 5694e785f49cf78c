// Package line is the grammar of the herd: the lines that clients send and get, and the lines that
// servers pass on. It parses and formats bytes and knows nothing else; the standard library is all it needs.
//
// A client's line ends in LF. White space is exactly space, TAB, LF, VT, FF and CR; input is bytes, not text.
//
//	IAMAT <client> <±lat±lon> <time>
//	WHATSAT <client> <radius km> <bound>
//	AT <server> <skew> <client> <±lat±lon> <time>
//	PROPAGATE <from> <origin> <skew> <client> <±lat±lon> <time>
//
// What a client wrote is never reformatted: numbers are checked and compared as the digits they came in, so
// that times are exact (a float64 is 238 ns coarse) and a position leaves as it arrived.
package line
