// An end by Ctrl-C, kill or a closed terminal that leaves no temporary files.
#ifndef MIRAGE_CLIENT_INTERRUPTION_H_
#define MIRAGE_CLIENT_INTERRUPTION_H_

namespace mirage::client {

// From now on SIGINT, SIGTERM and SIGHUP first remove what is under way of every file
// (AbandonFiles) and then end the process as they would have (128 + n for a shell).
// One that is ignored, as nohup does, stays ignored. Call it in main before there is
// any thread: the signals are blocked in every thread and taken by one that waits for
// them. Without that thread (no resources) they keep their usual effect.
void CleanUpWhenInterrupted();

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_INTERRUPTION_H_
