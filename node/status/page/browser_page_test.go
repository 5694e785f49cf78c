//go:build page

package page_test

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is a tab of a real browser. What it complains of fails the test: an error, a violated policy, a dialog.
type browser struct {
	*testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string
	pardoned   []string // parts of complaints that are expected
}

// look is how a browser looks at a page.
type look struct {
	width, height int64
	ratio         float64 // device pixels in one; 0: one
	media         map[string]string
}

// open shows a page.
func open(t *testing.T, url string, l look) *browser {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("%v; make test-page installs it", err)
	}
	all, stopAll := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()), chromedp.Flag("no-sandbox", true), chromedp.Flag("disable-gpu", true),
		chromedp.Flag("hide-scrollbars", true))...)
	b := &browser{T: t}
	ctx, stop := chromedp.NewContext(all, chromedp.WithListener(b.onEvent))
	t.Cleanup(func() {
		stop()
		stopAll()
	})
	b.ctx = ctx
	t.Cleanup(b.checkComplaints)
	call(b, runtime.Enable, cdp.Empty{}) // and starts the browser
	call(b, log.Enable, cdp.Empty{})
	call(b, page.Enable, page.EnableParams{})
	b.view(l)
	b.do(chromedp.Navigate(url))
	return b
}

// view changes the size of the window, and what the viewer prefers.
func (b *browser) view(l look) {
	b.Helper()
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: l.width, Height: l.height, DeviceScaleFactor: max(1, l.ratio), Mobile: l.width < 600,
	})
	var features []*emulation.MediaFeature
	for name, value := range l.media {
		features = append(features, &emulation.MediaFeature{Name: name, Value: value})
	}
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
}

func (b *browser) onEvent(event any) {
	complaint := ""
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		complaint = e.ExceptionDetails.Text
		if x := e.ExceptionDetails.Exception; x != nil {
			complaint += " " + x.Description
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning || e.Type == runtime.ConsoleAPICalledTypeAssert {
			var words []string
			for _, a := range e.Args {
				words = append(words, string(a.Value)+a.Description)
			}
			complaint = strings.Join(words, " ")
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			complaint = fmt.Sprintf("%s %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	case *page.EventJavascriptDialogOpening:
		complaint = "a dialog: " + e.Message
		go func() {
			_, _ = chromedp.Call(b.ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{})
		}()
	}
	if complaint != "" {
		b.mu.Lock()
		b.complaints = append(b.complaints, complaint)
		b.mu.Unlock()
	}
}

// pardon has complaints with a text be expected.
func (b *browser) pardon(part string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pardoned = append(b.pardoned, part)
}

// checkComplaints fails the test if there were complaints.
func (b *browser) checkComplaints() {
	b.mu.Lock()
	defer b.mu.Unlock()
next:
	for _, c := range b.complaints {
		for _, p := range b.pardoned {
			if strings.Contains(c, p) {
				continue next
			}
		}
		b.Errorf("the browser complains: %s", c)
	}
}

// do runs steps.
func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.Fatal(err)
	}
}

// call has the browser run a command of the protocol.
func call[P, R any](b *browser, command cdp.Command[P, R], params P) R {
	b.Helper()
	r, err := chromedp.Call(b.ctx, command, params)
	if err != nil {
		b.Fatalf("%s: %v", command.Method, err)
	}
	return r
}

// value returns what an expression is, when it is a promise what that comes to.
func value[T any](b *browser, expression string) T {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.Fatalf("%s: %v", expression, err)
	}
	return v
}

// until waits for an expression to be true, looked at before each frame, on this page or one that it leads to.
func (b *browser) until(expression string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 40*time.Second)
	defer cancel()
	for {
		met, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`new Promise((done) => {
			const began = performance.now();
			const look = () => {
				if (document.readyState === "complete" && (`+expression+`)) done(true);
				else if (performance.now() - began > 30000) done(false);
				else requestAnimationFrame(look);
			};
			look();
		})`, chromedp.EvalAwaitPromise))
		switch {
		case met:
			return
		case err == nil:
			b.Fatalf("not in half a minute: %s\nthe page says:\n%s", expression, value[string](b, `document.body.innerText.slice(0, 3000)`))
		case !strings.Contains(err.Error(), "navigated"): // else the next page is looked at
			b.Fatalf("%s: %v", expression, err)
		}
	}
}

// screenshot returns a PNG of what is in the window.
func (b *browser) screenshot() []byte {
	b.Helper()
	return call(b, page.CaptureScreenshot, page.CaptureScreenshotParams{}).Data
}
