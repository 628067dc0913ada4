// The keeper: a parent process that holds the PINs of its server's tokens while that is away, so that a crash
// at night needs no custodians. It listens nowhere: PINs go through a socket pair that only these two have,
// and never outlive the keeper, so never a reboot.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"
#include "base/secret.h"

namespace kokuin::hsm::custody {

/// Runs the program of this process again, as a child with these arguments and "--kept-by 3", until it is
/// over; returns the exit code. The process must have no other threads.
///   The child crashes, or fails by its environment: started again, at once at first, then after pauses of up
///   to 30 s. SIGHUP: the child is stopped in good order and started again (a new configuration, a new
///   program). SIGTERM, SIGINT: the child is stopped in good order, and that is the end. The child ends in
/// good order by itself, or was never well: that is the end. One that was told to start again and refuses
///   its configuration is waited for, with the PINs, until the next SIGHUP.
Result<int> run_with_keeper(const std::string& program, const std::vector<std::string>& arguments);

/// The child's side; `token`: label of the token a PIN opens, at most 255 octets. Thread-safe. A keeper that
/// is gone is a line in the log, nothing else.
class Keeper {
  public:
    /// `descriptor`: of "--kept-by".
    explicit Keeper(int descriptor);
    /// What the keeper holds for this token, if anything; to be asked once for each, at start. Waits for its
    /// answer.
    std::optional<Secret> handed(const std::string& token);
    void keep(const std::string& token, const Secret& pin);
    void forget(const std::string& token);
    /// False once the keeper is gone: the next crash needs custodians.
    [[nodiscard]] bool present() const;
    /// After the last handed(): what nobody has asked for is forgotten, here and there: its token is in
    /// nobody's configuration now.
    void forget_the_rest();

  private:
    void tell(View message);
    Descriptor socket_;
    std::mutex mutex_;
    bool asked_ = false;
    std::map<std::string, Secret> handed_;  // that nobody has asked for yet
};

}  // namespace kokuin::hsm::custody
