package process

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"herd/configs"
	"herd/node/session"
	"herd/places"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/time/rate"
	"gopkg.in/natefinch/lumberjack.v2"
)

// Size and number of log files, for each node.
const (
	logFileMegabytes = 100
	logFilesKept     = 10
)

// logs makes the loggers of one process.
type logs struct {
	config configs.Log
	level  zap.AtomicLevel
	stderr zapcore.WriteSyncer // for entries, unless the configuration has a directory
	brief  bool                // without what is routine

	mu    sync.Mutex
	files []*lumberjack.Logger
}

// openLogs returns logs that can be written to.
func openLogs(c configs.Log, stderr io.Writer, brief bool) (*logs, error) {
	level, err := zap.ParseAtomicLevel(c.Level)
	if err != nil {
		return nil, fmt.Errorf("log level: %w", err)
	}
	if c.Dir != "" {
		if err := os.MkdirAll(c.Dir, 0o750); err != nil {
			return nil, fmt.Errorf("log directory: %w", err)
		}
		probe, err := os.CreateTemp(c.Dir, ".probe-*")
		if err != nil {
			return nil, fmt.Errorf("log directory: %w", err)
		}
		_ = probe.Close()
		_ = os.Remove(probe.Name())
	}
	return &logs{config: c, level: level, stderr: zapcore.Lock(zapcore.AddSync(stderr)), brief: brief}, nil
}

// For returns the logger of a node. With a directory it writes to the file <name>.log there.
func (l *logs) For(name string) *zap.Logger {
	sink := l.stderr
	if l.config.Dir != "" {
		file := &lumberjack.Logger{
			Filename: filepath.Join(l.config.Dir, name+".log"), MaxSize: logFileMegabytes, MaxBackups: logFilesKept,
		}
		l.mu.Lock()
		l.files = append(l.files, file)
		l.mu.Unlock()
		sink = zapcore.AddSync(file)
	}
	form := zap.NewProductionEncoderConfig()
	form.NameKey, form.MessageKey, form.TimeKey = "node", "event", "time"
	form.EncodeTime = zapcore.ISO8601TimeEncoder
	encoder := zapcore.NewJSONEncoder(form)
	if l.config.Format == "console" {
		form.EncodeLevel = zapcore.CapitalLevelEncoder
		form.ConsoleSeparator = "  "
		encoder = zapcore.NewConsoleEncoder(form)
	}
	core := zapcore.NewCore(encoder, sink, l.level)
	if l.brief {
		core = routineFilter{core}
	}
	return zap.New(core).Named(name)
}

// routineFilter leaves out entries that are [session.Routine]: a client's connection and its reply, what nodes send to and receive from each
// other, and what happens at every start and stop.
type routineFilter struct{ zapcore.Core }

func (c routineFilter) With(fields []zapcore.Field) zapcore.Core {
	return routineFilter{c.Core.With(fields)}
}

func (c routineFilter) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

func (c routineFilter) Write(e zapcore.Entry, fields []zapcore.Field) error {
	if slices.ContainsFunc(fields, session.Routine.Equals) {
		return nil
	}
	return c.Core.Write(e, fields)
}

// SetLevel has all loggers write entries from this level on.
func (l *logs) SetLevel(level string) error {
	if err := l.level.UnmarshalText([]byte(level)); err != nil {
		return fmt.Errorf("log level: %w", err)
	}
	return nil
}

// Reopen closes all files; the next entry opens them anew. It is for after somebody else has moved them away.
func (l *logs) Reopen() {
	l.mu.Lock()
	files := slices.Clone(l.files)
	l.mu.Unlock()
	for _, f := range files {
		_ = f.Close() // what it held was written
	}
}

// serverLog gives what an embedded NATS server has to say to a logger.
type serverLog struct{ *zap.SugaredLogger }

// newServerLog returns a log for [bus.ServerConfig].
func newServerLog(log *zap.Logger) serverLog { return serverLog{log.Sugar()} }

// Noticef logs at debug, for the server's notices are about its start and end only.
func (l serverLog) Noticef(format string, v ...any) { l.SugaredLogger.Debugf(format, v...) }

// Tracef logs at debug.
func (l serverLog) Tracef(format string, v ...any) { l.SugaredLogger.Debugf(format, v...) }

// Fatalf logs an error; the caller that started the server gets the error and decides.
func (l serverLog) Fatalf(format string, v ...any) { l.SugaredLogger.Errorf(format, v...) }

// tracesLogger returns a function that logs the spans that a collector does not accept, at most once a minute.
func tracesLogger(log *zap.Logger) func(error) {
	atMost := rate.Sometimes{Interval: complaintInterval}
	return func(err error) { atMost.Do(func() { log.Warn("traces are lost", zap.Error(err)) }) }
}

const complaintInterval = time.Minute // between two entries about failures of a provider with the same status

// placesLogger returns a Watch that writes what an operator has to know of the providers of places: failures, at most one entry a minute
// for each status, with the number of those that were passed over, and a breaker that turns. What the providers answer is not written.
func placesLogger(log *zap.Logger) places.Watch {
	w := &placesLog{log: log, failed: make(map[complaint]failures)}
	return w.watch
}

type placesLog struct {
	log *zap.Logger

	mu     sync.Mutex
	failed map[complaint]failures
}

// complaint is what is written about once a minute.
type complaint struct{ provider, status string }

type failures struct {
	logged time.Time
	more   int // since then
}

func (w *placesLog) watch(e places.Event) {
	provider := zap.String("provider", e.Provider)
	switch {
	case e.Kind == places.Called && e.Err != nil:
		if others, due := w.fail(complaint{e.Provider, e.Status}); due {
			w.log.Warn("provider of places failed", provider, zap.String("status", e.Status), zap.String("error", e.Err.Error()), others)
		}
	case e.Kind == places.Retried:
		w.log.Debug("asking again", provider, zap.Error(e.Err))
	case e.Kind == places.BreakerTurned && e.State == places.Open:
		w.log.Warn("provider of places not asked for a while", provider, zap.Error(e.Err))
	case e.Kind == places.BreakerTurned:
		w.log.Info("provider of places", provider, zap.String("breaker", string(e.State)))
	}
}

// fail counts a failure, and reports whether an entry is due, and how many others there were since the last.
func (w *placesLog) fail(about complaint) (others zap.Field, due bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now, f := time.Now(), w.failed[about]
	if now.Sub(f.logged) < complaintInterval {
		w.failed[about] = failures{f.logged, f.more + 1}
		return zap.Skip(), false
	}
	w.failed[about] = failures{logged: now}
	if f.more == 0 {
		return zap.Skip(), true
	}
	return zap.Int("others", f.more), true
}
