// Package configs describes a herd: its nodes, the links between them and every setting.
//
// # Where a value comes from
//
// From the strongest: a flag, an environment variable, a file, and herd.yaml of this folder, which is built into the
// program and so is the defaults. For the scalar key bus.url they are
//
//	--bus-url nats://10.0.0.1:4222
//	HERD_BUS_URL=nats://10.0.0.1:4222
//	bus: {url: "nats://10.0.0.1:4222"}
//
// and likewise for every other: dots become dashes or underscores. Nodes and links come from a file only. They are one
// topology: a file that gives nodes replaces the links too, one that gives only links keeps the nodes of herd.yaml.
//
// A variable that is set but empty is set: HERD_BUS_URL= takes the URL of the file away. HERD_CONFIG names the file when
// --config does not; empty, it names none. Every other variable beginning with HERD_ is an error, so that a misspelt one
// is not silently without effect. (Kubernetes makes such variables out of a service called herd; enableServiceLinks:
// false in the pod stops that.)
//
// # What is refused
//
// Keys are lower case and exact. A value has the type of its key: a number is not quoted in YAML, a duration has a unit
// (only 0 needs none), a text that looks like a number is quoted. Unknown, misspelt and doubled keys, values of
// another type or out of range, and a topology with faults are refused, all reported at once in one line.
//
// # How it is read
//
// Each source is read strictly into a layer of typed values, which is where nearly every fault is found, and where its
// place is known. viper lays the layers over each other and fills the Config. It is not left to read the sources itself:
// it folds the case of keys, converts between types, and does not say where a value came from.
package configs
