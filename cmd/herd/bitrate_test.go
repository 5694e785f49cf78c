package main

import "testing"

func TestBitRate(t *testing.T) {
	for text, want := range map[string]string{
		"9600": "9.6 kbit/s", "64k": "64 kbit/s", "1.5M": "1.5 Mbit/s", "100G": "100 Gbit/s", "1000": "1 kbit/s",
		"": "", "k": "", "999": "", "101G": "", "-64k": "", "64K": "", "64kbit": "", "NaN": "", "Inf": "", "64 k": "", "0": "",
	} {
		var r bitRate
		if err := r.Set(text); (err == nil) != (want != "") || r.String() != want {
			t.Errorf("%q is %q, %v, want %q", text, r.String(), err, want)
		}
	}
}
