// Package store keeps a durable copy of a node's registry: for each client, its greatest report.
//
// A [Store] is a directory that one process at a time has open. A key is the number of a batch, a value the texts of its reports. What
// [Store.Write] has returned nil for is on disk, and stays there when the process is killed or the power fails.
//
// # When the disk fails
//
// The engine beneath ends the process when it cannot write. So it works through a breaker (breaker.go): after the first error nothing is
// changed on the disk any more, while the engine is told that all went well and is closed. The files are then those of a crash
// at that moment. [Store.Failed] is closed, every Write returns the error, and [Store.Reopen] tries anew.
//
// # What is damaged
//
// A file that is not as it was written is an error when the store is opened or read, and nothing is deleted or repaired. Only
// a torn last write is ignored, since that is how a crash leaves it.
package store
