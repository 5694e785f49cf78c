#include "textflag.h"

// func prefetch(there unsafe.Pointer)
TEXT ·prefetch(SB), NOSPLIT, $0-8
	MOVD there+0(FP), R0
	PRFM (R0), PLDL1KEEP
	RET
