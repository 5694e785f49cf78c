package node

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

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

// LogConfig says what is logged, and where.
type LogConfig struct {
	Level  string    // debug, info, warn or error
	Format string    // console or json
	Dir    string    // one file per node, rotated by size; "": Stderr
	Stderr io.Writer // if there is no Dir
}

// Logs makes the loggers of one process.
type Logs struct {
	config LogConfig
	level  zap.AtomicLevel
	stderr zapcore.WriteSyncer

	mu    sync.Mutex
	files []*lumberjack.Logger
}

// OpenLogs returns logs that can be written to.
func OpenLogs(c LogConfig) (*Logs, error) {
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
		if err := os.Remove(probe.Name()); err != nil {
			return nil, fmt.Errorf("log directory: %w", err)
		}
	}
	return &Logs{config: c, level: level, stderr: zapcore.Lock(zapcore.AddSync(c.Stderr))}, nil
}

// For returns the logger of a node. With a directory it writes to the file <name>.log there.
func (l *Logs) For(name string) *zap.Logger {
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
	return zap.New(zapcore.NewCore(encoder, sink, l.level)).Named(name)
}

// SetLevel has all loggers write entries from this level on.
func (l *Logs) SetLevel(level string) error {
	if err := l.level.UnmarshalText([]byte(level)); err != nil {
		return fmt.Errorf("log level: %w", err)
	}
	return nil
}

// Reopen closes all files; the next entry opens them anew. It is for after somebody else has moved them away.
func (l *Logs) Reopen() {
	l.mu.Lock()
	files := slices.Clone(l.files)
	l.mu.Unlock()
	for _, f := range files {
		_ = f.Close() // what it held was written
	}
}

// ServerLog gives what an embedded NATS server has to say to a logger.
type ServerLog struct{ *zap.SugaredLogger }

// NewServerLog returns a log for [bus.ServerConfig].
func NewServerLog(log *zap.Logger) ServerLog { return ServerLog{log.Sugar()} }

// Noticef logs at debug, for the server's notices tell of its start and end only.
func (l ServerLog) Noticef(format string, v ...any) { l.SugaredLogger.Debugf(format, v...) }

// Tracef logs at debug.
func (l ServerLog) Tracef(format string, v ...any) { l.SugaredLogger.Debugf(format, v...) }

// Fatalf logs an error; whoever started the server hears of it and decides.
func (l ServerLog) Fatalf(format string, v ...any) { l.SugaredLogger.Errorf(format, v...) }

// TracesLog returns a function that logs the spans that a collector does not accept, at most once a minute.
func TracesLog(log *zap.Logger) func(error) {
	atMost := rate.Sometimes{Interval: complaintGap}
	return func(err error) { atMost.Do(func() { log.Warn("traces are lost", zap.Error(err)) }) }
}
