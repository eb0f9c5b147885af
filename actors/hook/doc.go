// Package hook is the actor that sends web hooks: HTTP POST requests with a JSON body to the URLs that the operator has configured, as ZLMediaKit sends them.
//
// An [Ask] waits for the receiver's integer code, which decides something; a [Notify] does not care. Both go through bounded queues; for notifications
// the oldest gives way, for questions the newest is refused. A request that fails (network, status other than 200, no JSON, no integer code) is sent again
// hook.retry times, hook.retry_delay apart; a failure after that counts as refusal. A receiver's refusal is final at once.
//
// # Goroutines
//
// The engine spawns one hook actor a generation. Each request under way has one goroutine, bounded in number (questions and notifications apart, so
// that a receiver that swallows notifications holds up no decision); it posts one message back. All of them are cancelled and awaited when the actor stops.
package hook
