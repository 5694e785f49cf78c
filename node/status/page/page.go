// Package page is the status page: HTML, style and scripts, embedded as they are. It shows what the API returns, and needs no network
// but the node's own.
package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

// Outlines is the source of the map's country outlines.
const Outlines = "Country outlines from Natural Earth (naturalearthdata.com), public domain"

//go:embed assets
var assets embed.FS

// types are what files are, by their suffix. They do not depend on the system, which may know others, or none.
var types = map[string]string{
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".json": "application/json",
	".svg":  "image/svg+xml",
}

// file is one asset.
type file struct {
	kind           string
	plain, zipped  []byte
	tag, zippedTag string // ETags: of each form its own
}

const wayOut = `method="post"` // the form of the page that logs out, but for those who did not have to log in

// files are all assets by their paths, "/" among them, and "/ and out" for those who logged in.
var files = sync.OnceValue(func() map[string]file {
	all := make(map[string]file)
	err := fs.WalkDir(assets, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := assets.ReadFile(name)
		if err != nil {
			return err
		}
		kind, url := types[path.Ext(name)], "/"+name
		if name == "assets/index.html" {
			all["/ and out"] = newFile(kind, bytes.Replace(text, []byte(wayOut+" hidden"), []byte(wayOut), 1))
			url = "/"
		}
		all[url] = newFile(kind, text)
		return nil
	})
	if err != nil {
		panic(err) // what is embedded can be read
	}
	return all
})

// newFile returns a file in its two forms.
func newFile(kind string, text []byte) file {
	sum := sha256.Sum256(text)
	f := file{kind: kind, plain: text, tag: `"` + hex.EncodeToString(sum[:12]) + `"`}
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, _ = w.Write(text) // a buffer takes it all
	_ = w.Close()
	f.zipped, f.zippedTag = zipped.Bytes(), strings.TrimSuffix(f.tag, `"`)+`-gzip"`
	return f
}

// Handler serves the page at / and what it is made of at /assets/. A browser checks each time whether it has changed. The page has a
// way to log out if one has to log in.
func Handler(login bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Path
		if name == "/" && login {
			name = "/ and out"
		}
		f, ok := files()[name]
		if !ok {
			http.NotFound(w, r)
			return
		}
		h, body, tag := w.Header(), f.plain, f.tag
		h.Set("Vary", "Accept-Encoding")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			body, tag = f.zipped, f.zippedTag
			h.Set("Content-Encoding", "gzip")
		}
		h.Set("ETag", tag)
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Type", f.kind)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	})
}
