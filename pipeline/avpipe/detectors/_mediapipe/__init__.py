"""MediaPipe's landmark models outside MediaPipe: parts of the detector `mediapipe`.

models    the model files, their digests and what each takes
tflite    a model file as a graph of operations with weights
litert    runs a model on the CPU (LiteRT)
torch_graph   runs a model as a PyTorch module (CUDA)
crop      cuts regions of a picture out as MediaPipe does, bit for bit
regions   the geometry between the models: detections and landmarks to regions
decode    what comes out of the models: boxes, landmarks, heat maps
"""
