#include "base/stop_signal.h"

#include <semaphore.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace kokuin {
namespace {

// A signal handler reaches nothing but statics; these are all it touches (signal-safety(7)).
constexpr int signals[] = {SIGTERM, SIGINT, SIGHUP};
sem_t came;
std::atomic<int> which{0};

void on_signal(int signal) {
    const int saved = errno;
    which = signal;
    struct sigaction at_once {};
    at_once.sa_handler = SIG_DFL;
    for (const int next : signals) sigaction(next, &at_once, nullptr);
    sem_post(&came);
    errno = saved;
}

}  // namespace

StopSignal::StopSignal() {
    sem_init(&came, 0, 0);
    struct sigaction action {};
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    // None of them interrupts the handler, which would find half of the defaults back.
    for (const int signal : signals) sigaddset(&action.sa_mask, signal);
    for (const int signal : signals) sigaction(signal, &action, nullptr);
}

std::string StopSignal::wait() {
    while (sem_wait(&came) != 0 && errno == EINTR) {
    }
    const int signal = which;
    return signal == 0 ? "by itself" : strsignal(signal);
}

void StopSignal::stop() {
    sem_post(&came);
}

}  // namespace kokuin
