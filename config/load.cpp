// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "config/config.h"
#include "config/draft.h"
#include "config/json_patch.h"
#include "config/yaml_reader.h"

namespace wglan {
namespace {

using config::Value;

bool is_machine(const Value& document) {
    return document.kind == Value::Kind::map && document.find("machine") != nullptr;
}

Value empty_document(const std::string& file) {
    Value value;
    value.where.file = std::make_shared<const std::string>(file.empty() ? "configuration" : file);
    return value;
}

// The one document that counts. Talos keeps further documents beside the machine's in one file.
Result<Value> pick_document(std::vector<Value> documents, const std::string& file) {
    if (documents.empty()) return empty_document(file);
    const auto machine = std::ranges::find_if(documents, is_machine);
    if (machine != documents.end()) return std::move(*machine);
    if (documents.size() > 1)
        return fail(ErrorKind::invalid,
                    documents[1].where.to_string() + ": a second document; accepted: one document a file");
    return std::move(documents.front());
}

Result<Value> read_patch(const std::string& file) {
    auto documents = config::read_documents(file);
    if (!documents) return Failure(documents.error());
    if (documents->size() != 1)
        return fail(ErrorKind::invalid,
                    file + ": not a JSON patch; accepted: one list of operations (RFC 6902)");
    return std::move(documents->front());
}

Result<Value> read_document(const ConfigInput& input, std::vector<std::string>& files) {
    Value document = empty_document(input.file);
    if (!input.file.empty()) {
        files.push_back(input.file);
        auto documents = config::read_documents(input.file);
        if (!documents) return Failure(documents.error());
        auto picked = pick_document(std::move(*documents), input.file);
        if (!picked) return picked;
        if (picked->kind == Value::Kind::sequence) {
            // The patch list of the original documentation, alone.
            if (auto done = config::apply_patch(document, *picked); !done) return Failure(done.error());
        } else {
            document = std::move(*picked);
        }
    }
    if (!input.patch_files.empty() && document.kind == Value::Kind::null) document.kind = Value::Kind::map;
    for (const auto& file : input.patch_files) {
        files.push_back(file);
        auto patch = read_patch(file);
        if (!patch) return patch;
        if (auto done = config::apply_patch(document, *patch); !done) return Failure(done.error());
    }
    return document;
}

}  // namespace

Config default_config() {
    Config out;
    out.interface.address_prefix =
        Prefix::make(IpAddress::v6({0x02, 0x00, 0x10, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}), 64).value();
    out.advertise.endpoint_filters = {{Prefix::make(IpAddress::v4({0, 0, 0, 0}), 0).value(), false},
                                      {Prefix::make(IpAddress(), 0).value(), false}};
    out.metrics.listen = Endpoint{IpAddress::v4({127, 0, 0, 1}), 9586};
    return out;
}

Result<LoadedConfig> load_config(const ConfigInput& input) {
    LoadedConfig loaded;
    auto document = read_document(input, loaded.files);
    if (!document) return Failure(document.error());
    if (document->kind != Value::Kind::map && document->kind != Value::Kind::null)
        return fail(ErrorKind::invalid,
                    document->where.to_string() +
                        ": not a configuration; accepted: a map of keys, or a JSON patch list");
    config::Draft draft;
    config::Reading reading;
    if (is_machine(*document))
        config::read_talos(*document, draft, reading);
    else
        config::read_native(document->kind == Value::Kind::map ? &*document : nullptr, draft, reading);
    config::finish_draft(draft, input, reading, loaded.files);
    if (reading.error) return Failure(std::move(*reading.error));
    loaded.config = std::move(draft.config);
    loaded.warnings = std::move(draft.warnings);
    return loaded;
}

}  // namespace wglan
