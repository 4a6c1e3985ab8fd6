// An operator for TensorFlow: PerceptumTestDouble(x) is x + x, of float32. Through the C interface, which compiles fast.
#include "tensorflow/c/kernels.h"
#include "tensorflow/c/ops.h"
#include "tensorflow/c/tf_tensor.h"

namespace {

void* create(TF_OpKernelConstruction*) { return nullptr; }

void compute(void*, TF_OpKernelContext* context) {
  TF_Status* status = TF_NewStatus();
  TF_Tensor* x = nullptr;
  TF_GetInput(context, 0, &x, status);
  int64_t shape[8];
  const int rank = TF_NumDims(x);
  for (int axis = 0; axis < rank; ++axis) shape[axis] = TF_Dim(x, axis);
  TF_Tensor* out = TF_AllocateOutput(context, 0, TF_FLOAT, shape, rank, TF_TensorByteSize(x), status);
  const float* from = static_cast<const float*>(TF_TensorData(x));
  float* to = static_cast<float*>(TF_TensorData(out));
  const int64_t count = TF_TensorElementCount(x);
  for (int64_t i = 0; i < count; ++i) to[i] = from[i] + from[i];
  TF_DeleteTensor(x);
  TF_DeleteTensor(out);
  TF_DeleteStatus(status);
}

void destroy(void*) {}

void same_shape(TF_ShapeInferenceContext* context, TF_Status* status) {
  TF_ShapeHandle* shape = TF_NewShapeHandle();
  TF_ShapeInferenceContextGetInput(context, 0, shape, status);
  TF_ShapeInferenceContextSetOutput(context, 0, shape, status);
  TF_DeleteShapeHandle(shape);
}

bool registered = [] {
  TF_Status* status = TF_NewStatus();
  TF_OpDefinitionBuilder* op = TF_NewOpDefinitionBuilder("PerceptumTestDouble");
  TF_OpDefinitionBuilderAddInput(op, "x: float");
  TF_OpDefinitionBuilderAddOutput(op, "out: float");
  TF_OpDefinitionBuilderSetShapeInferenceFunction(op, same_shape);
  TF_RegisterOpDefinition(op, status);
  TF_KernelBuilder* kernel = TF_NewKernelBuilder("PerceptumTestDouble", "CPU", create, compute, destroy);
  TF_RegisterKernelBuilder("PerceptumTestDouble", kernel, status);
  TF_DeleteStatus(status);
  return true;
}();

}  // namespace
