// An operator for torch: perceptum_test::double_it(x) is x + x. A second registration of it ends the process.
#include <ATen/ops/add.h>
#include <torch/library.h>

at::Tensor double_it(const at::Tensor& x) { return at::add(x, x); }

TORCH_LIBRARY(perceptum_test, library) {
  library.def("double_it(Tensor x) -> Tensor");
  library.impl("double_it", c10::DispatchKey::CompositeExplicitAutograd, TORCH_FN(double_it));
}
