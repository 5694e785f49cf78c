//go:build race

package flood

const racing = true // everything takes ten times as long
