package simulate

import (
	"runtime/debug"
	"slices"
)

// racing reports whether the race detector is built in, with which everything takes ten times as long.
var racing = func() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}()
