package bustest

// SilentLog is the log of an embedded server that nobody reads.
type SilentLog struct{}

// Noticef and the other methods of bus.ServerLog write nothing.
func (SilentLog) Noticef(string, ...any) {}
func (SilentLog) Warnf(string, ...any)   {}
func (SilentLog) Fatalf(string, ...any)  {}
func (SilentLog) Errorf(string, ...any)  {}
func (SilentLog) Debugf(string, ...any)  {}
func (SilentLog) Tracef(string, ...any)  {}
