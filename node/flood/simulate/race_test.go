//go:build race

package simulate

const racing = true // everything takes ten times as long
