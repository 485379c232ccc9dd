// Messages of the inner code: to the function that SetLog was given, and to nobody before that.
#pragma once

namespace oxidized::v1 {

void BeQuietUnlessAsked();

}  // namespace oxidized::v1
