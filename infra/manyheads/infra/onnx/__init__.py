"""ONNX Runtime on a CPU: sessions, small graphs by hand, and a matrix product in int8 whose rows are independent."""
