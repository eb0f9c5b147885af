// Package benchmarks measures whole actors and the engine from outside, as their users meet them, beside baselines taken in the same run. What
// one package costs by itself is measured beside its code.
//
// A benchmark reports; none passes or fails a build. Results are kept in results/, one page a subject, with machine and command. Load goes to loopback
// alone and is bounded. Nothing imports this package.
package benchmarks
