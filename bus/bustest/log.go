package bustest

// SilentLog is the log of an embedded server, without effect.
type SilentLog struct{}

// Noticef and the other methods write nothing.
func (SilentLog) Noticef(string, ...any) {}
func (SilentLog) Warnf(string, ...any)   {}
func (SilentLog) Fatalf(string, ...any)  {}
func (SilentLog) Errorf(string, ...any)  {}
func (SilentLog) Debugf(string, ...any)  {}
func (SilentLog) Tracef(string, ...any)  {}
