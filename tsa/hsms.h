// The HSM tokens of a running tsad (TSA-2: a TSU may have one of its own), and who opens each (KEY-2).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/net/router.h"
#include "base/result.h"
#include "hsm/custody/activation.h"
#include "hsm/custody/approvals.h"
#include "hsm/custody/keeper.h"
#include "hsm/custody/records.h"
#include "hsm/module.h"
#include "hsm/token.h"
#include "tsa/config.h"
#include "tsa/journal.h"
#include "tsa/key_life.h"
#include "tsa/tsus.h"

namespace kokuin::tsa {

/// One of them: what [hsm] or an [hsm.NAME] configures. Thread-safe as its parts are.
class Hsm {
  public:
    /// `rosters`: who holds its PINs, nobody where a pin_file does.
    Hsm(hsm::Settings settings, std::unique_ptr<hsm::Token> token, hsm::custody::Rosters rosters)
        : settings_(std::move(settings)), rosters_(std::move(rosters)), token_(std::move(token)) {}

    [[nodiscard]] const hsm::Settings& settings() const { return settings_; }
    /// "hsm" for [hsm], otherwise NAME: for metrics, and as operators choose one.
    [[nodiscard]] std::string name() const { return settings_.name.empty() ? "hsm" : settings_.name; }
    [[nodiscard]] hsm::Token& token() { return *token_; }
    [[nodiscard]] const hsm::Token& token() const { return *token_; }
    /// Null: the PIN lies in a file, and one person may do it all. Set by Hsms::seat_custodians().
    [[nodiscard]] hsm::custody::Activation* custody() { return custody_ ? &*custody_ : nullptr; }
    [[nodiscard]] const hsm::custody::Activation* custody() const { return custody_ ? &*custody_ : nullptr; }
    [[nodiscard]] hsm::custody::Approvals* approvals() { return approvals_ ? &*approvals_ : nullptr; }

  private:
    friend class Hsms;
    hsm::Settings settings_;
    hsm::custody::Rosters rosters_;
    std::unique_ptr<hsm::Token> token_;
    std::optional<hsm::custody::Activation> custody_;
    std::optional<hsm::custody::Approvals> approvals_;
};

/// What they are opened with; references must outlive them.
struct HsmsParts {
    const Settings& settings;
    Journal& journal;
    const MonoClock& mono;
    hsm::custody::Keeper* keeper = nullptr;  ///< null: nobody holds PINs over a crash
};

/// Thread-safe from seat_custodians() on. At least one; all that are configured, for as long as it lives.
class Hsms {
  public:
    /// Starts their modules; one alone with a pin_file is opened, all others are locked. The environment must
    /// have been applied (hsm::apply_environment). Events "hsm.lost" and "hsm.back" from now on; the subject
    /// is the token's label. One of several that can't be reached takes none of the others down, once its
    /// module has started. Error (usage): nobody holds a token's PIN, or as hsm::Token::open.
    static Result<std::unique_ptr<Hsms>> open(HsmsParts parts);
    Hsms(const Hsms&) = delete;
    Hsms& operator=(const Hsms&) = delete;
    ~Hsms();
    /// For what open_at_start() left behind; to be called before `tsus` goes.
    void wait();

    /// From now on custodians can open them. Then the TSUs' keys are looked for, and their certificates laid
    /// beside them (KEY-3); what is missing is an event "key.missing". `tsus` must outlive it.
    void seat_custodians(const Tsus& tsus);
    /// What the keeper holds, unattended shares and pin_files open them. Of several one that doesn't answer
    /// within 10 s is left to come later, and one that can't be opened is a line in the log. Error, of all:
    /// as of hsm::custody::open_at_start(), or the token refused the PIN of its pin_file.
    Done open_at_start();
    /// A line in the log for each that waits for its custodians; for a server that listens now.
    void say_if_locked() const;
    /// Where custodians meet the server: /custody, /hsm/NAME/custody (hsm/custody/desk.h).
    void add_custody_routes(net::Router& router);

    [[nodiscard]] const std::vector<std::unique_ptr<Hsm>>& all() const { return all_; }
    /// NAME of an [hsm.NAME]; "hsm" or nothing for [hsm]. Null: there is none.
    [[nodiscard]] Hsm* find(const std::string& name) const;
    /// The one that a key is in, by its records; those that name no token (KeyEntry::token) are of a time
    /// when [hsm] was the only one. Error (usage): it isn't in the configuration any more.
    [[nodiscard]] Result<Hsm*> of(const KeyEntry& key) const;
    /// The one that has a key pair of this label. Error (no): none; (environment): none, as far as can be
    /// known now.
    [[nodiscard]] Result<Hsm*> holder(const std::string& label) const;
    /// Signatures at the same time, in all of them.
    [[nodiscard]] unsigned sessions() const;

  private:
    explicit Hsms(const HsmsParts& parts) : parts_(parts) {}
    Done open_at_start(Hsm& one);
    void look_after_keys(Hsm& of, const Tsus& tsus);

    HsmsParts parts_;
    hsm::Modules modules_;
    std::vector<std::unique_ptr<Hsm>> all_;
    const Tsus* tsus_ = nullptr;
    std::vector<std::thread> opening_;
};

}  // namespace kokuin::tsa
