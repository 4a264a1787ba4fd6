#include "protocol/capabilities.h"
#include "protocol/envelope.h"
#include "protocol/messages.h"
#include "tests/fuzz/fuzz.h"

namespace {

/// What one of our writers wrote, our reader takes, and both agree.
template <class T>
void stable(std::string_view input) {
  const auto message = aster::from_json<T>(input);
  if (!message.ok()) return;
  const std::string text = aster::to_json(*message);
  const auto again = aster::from_json<T>(text);
  EXPECT(again.ok() && aster::to_json(*again) == text);
}

}  // namespace

void fuzz_one(std::string_view input) {
  using namespace aster;
  stable<BindingState>(input);
  stable<TargetInfo>(input);
  stable<std::vector<TargetInfo>>(input);
  stable<ObjectList>(input);
  stable<ObjectMetadata>(input);
  stable<ComposeRequest>(input);
  stable<ComposeAnswer>(input);
  stable<Capacity>(input);
  stable<RedeemRequest>(input);
  stable<RedeemAnswer>(input);
  stable<AckRequest>(input);
  (void)from_json<TargetCreate>(input);
  (void)from_json<TargetUpdate>(input);
}
