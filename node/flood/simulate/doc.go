// Package simulate runs herds of real engines in simulated time. Messages, timers and faults are events in one queue, carried out one
// after the other, and all chance comes from one seed: the same seed gives the same run. A large herd without disks uses all processors:
// while no message can arrive that is not on its way yet, nodes are run at the same time, to the same result.
//
// A way leads from one node to a neighbour. It delays messages, and may lose or double them, but keeps them in order; ways do
// not wait for each other. A node's messages leave as soon as its engine wakes it, one message after the other.
package simulate
