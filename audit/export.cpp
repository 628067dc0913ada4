#include "audit/export.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>

#include "audit/present.h"
#include "audit/soundness.h"
#include "base/file.h"
#include "base/json_text.h"
#include "tac/tac.h"

namespace kokuin::audit {
namespace {

/// RFC 4180: in quotes where it has to be.
std::string csv(const std::string& text) {
    if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
    std::string quoted = "\"";
    for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
    return quoted + "\"";
}

std::string csv_line(const store::Found& found) {
    const auto& issuance = found.issuance();
    std::string line;
    for (const std::string& cell :
         {to_hex(issuance.serial), time_text(issuance.gen_time_us), issuance.policy,
          hash_name(issuance.imprint_algorithm), to_hex(issuance.imprint), issuance.tsu,
          issuance.tac ? tac::serial_hex(issuance.tac->serial) : std::string(),
          std::to_string(issuance.clock_bound_us), std::to_string(found.record.number), found.segment,
          to_hex(issuance.certificate)})
        line += (line.empty() ? "" : ",") + csv(cell);
    return line + "\r\n";
}

constexpr const char* csv_names =
    "serial,gen_time,policy,imprint_algorithm,imprint,tsu,tac,clock_bound_us,number,segment,certificate\r\n";

}  // namespace

Done export_tokens(store::ArchiveReader& reader, const store::Query& query, const ExportArguments& arguments,
                   std::ostream& out) {
    const bool files = arguments.format == "tokens";
    if (files && arguments.out.empty())
        return Error::usage("--out is missing: the folder to write tokens into");
    if (files && ::mkdir(arguments.out.c_str(), 0755) != 0 && errno != EEXIST)
        return Error::environment(arguments.out + ": can't be made: " + std::strerror(errno));
    // Another name until it is whole.
    const std::string draft = arguments.out + ".new";
    std::ofstream file;
    if (!files && !arguments.out.empty()) {
        file.open(draft, std::ios::binary | std::ios::trunc);
        if (!file) return Error::environment(draft + ": can't be written: " + std::strerror(errno));
    }
    std::ostream& to = file.is_open() ? static_cast<std::ostream&>(file) : out;
    if (arguments.format == "csv") to << csv_names;

    std::uint64_t count = 0;
    std::optional<Error> trouble;
    const auto token_of = [&](const store::Found& found) -> std::optional<Bytes> {
        auto shown = reader.show(found.issuance().serial);
        const Done sound = shown ? check_token(*shown) : Done(shown.error());
        if (sound) return std::move(shown->token);
        trouble = sound.error();
        return std::nullopt;
    };
    const auto searched = reader.find(query, [&](const store::Found& found) {
        ++count;
        if (arguments.format == "csv") {
            to << csv_line(found);
            return to.good();
        }
        const auto token = token_of(found);
        if (!token) return false;
        if (files) {
            const auto done =
                write_file(arguments.out + "/" + to_hex(found.issuance().serial) + ".der", *token);
            if (!done) trouble = done.error();
            return !trouble;
        }
        auto json = nlohmann::ordered_json::parse(find_json(found));
        json["certificate"] = to_hex(found.issuance().certificate);
        json["token"] = to_base64(*token);
        to << json_text(json) << '\n';
        return to.good();
    });
    to.flush();
    const bool written = to.good();
    if (file.is_open()) file.close();
    const auto failed = [&](const Error& error) {
        if (!files && !arguments.out.empty()) std::remove(draft.c_str());
        return error;
    };
    if (trouble) return failed(*trouble);
    if (!searched) return failed(searched.error());
    if (!written) return failed(Error::environment("the output can't be written: is its disk full?"));
    if (count == 0) return failed(Error::no("nothing matched"));
    if (!files && !arguments.out.empty() && std::rename(draft.c_str(), arguments.out.c_str()) != 0)
        return failed(Error::environment(arguments.out + ": can't be written: " + std::strerror(errno)));
    return {};
}

}  // namespace kokuin::audit
