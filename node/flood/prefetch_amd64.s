#include "textflag.h"

// func prefetch(there unsafe.Pointer)
TEXT ·prefetch(SB), NOSPLIT, $0-8
	MOVQ there+0(FP), AX
	PREFETCHT0 (AX)
	RET
