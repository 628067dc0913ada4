// A token that custodians open here and now, for one command, at a machine without a server (CA-3: an offline
// CA). Its own process combines the shares, and closes the token when the command is over.
#pragma once

#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "hsm/settings.h"
#include "hsm/token.h"
#include "store/blob.h"
#include "store/record.h"

namespace CLI {
class App;
}

namespace kokuin::hsm::custody {

/// What such a command reads from the command line.
struct SessionArguments {
    std::vector<std::string> shares;
    std::vector<std::string> passphrase_files;  ///< for the shares in their order; empty: asked for
};
/// Adds `--share FILE…` and `--passphrase-file FILE…`.
void add_session_options(CLI::App& command, SessionArguments& arguments);

/// Whose token is opened, and for what.
struct SessionPlan {
    Settings hsm;
    std::string program;   ///< "tsca"
    std::string archive;   ///< its folder: where the roster is
    std::string settings;  ///< SHA-256 of the configuration, hex
    std::string content;   ///< what the token is opened for: what custodians see and sign, one line
    /// Durable on return. Kinds: "custody.activated" (fields as from a server's activation, and content; its
    /// blob is approvals_json()), "custody.deactivated", "custody.refused"; the subject is the token's label.
    std::function<Done(const store::Event&, const std::vector<store::Blob>&)> record;
};

/// An open token; closed when it goes. For one thread.
class Session {
  public:
    /// Opens it. Where custodians hold the PIN, so many of them as the ceremony says must each give a share:
    /// each is told on `out` what it is for, types the passphrase, and signs that (Statement, act
    /// "activate"); the approvals are recorded before the token is asked. With a pin_file nobody is asked,
    /// and stderr says loudly what that means. Puts the module's environment into this process's: before
    /// there are threads. Error (no): too few shares, wrong ones, a wrong passphrase; (usage): nobody has
    /// shared the PIN, or the token refuses it; (environment): HSM or archive. Whatever is wrong with a
    /// share, the token hears nothing of it.
    static Result<std::unique_ptr<Session>> open(SessionPlan plan, const SessionArguments& arguments,
                                                 std::ostream& out);
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    /// Only until close().
    [[nodiscard]] Token& token() { return *token_; }
    /// Who opened it: "officer-1, officer-3"; empty where a pin_file has the PIN.
    [[nodiscard]] const std::string& custodians() const { return custodians_; }
    /// Closes the token at once, and records that. Error: it is closed, but not recorded. The destructor does
    /// the same and can't tell.
    Done close();

  private:
    Session(SessionPlan plan, std::unique_ptr<Token> token, std::string custodians)
        : plan_(std::move(plan)), token_(std::move(token)), custodians_(std::move(custodians)) {}
    SessionPlan plan_;
    std::unique_ptr<Token> token_;
    std::string custodians_;
};

}  // namespace kokuin::hsm::custody
