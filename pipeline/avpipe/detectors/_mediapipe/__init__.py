"""MediaPipe's landmark models outside MediaPipe: the parts of the detector `mediapipe`.

    models        the model files, their digests and what picture each takes
    flatbuffer    the format of the model files
    tflite        a model file as a graph of operations with plain weights; pruning
    torch_graph   runs such a graph as a PyTorch module
    litert        runs a model file on the CPU
    crop          cuts regions out of a picture as MediaPipe does, bit for bit
    torch_crop, triton_crop   the same bits on a device: plain operations, one kernel
    regions       the geometry between the models: detections and landmarks to regions
    decode        what comes out of the models: boxes, landmarks, heat maps
    runner, torch_runner   pictures on a device, and models run on regions of them
    torch_pictures, torch_lanes   of the latter: frames, models at work
    light         dark and veiled pictures, their contrast stretched
    chain         the models one after the other, for given frames
    blocks        consecutive frames and what has been found in them
    per_frame, follow   the recipes: blocks in, finished blocks out
    people        who is where, linked over time
    arms, hands   how well a hand suits an arm; the hands of everybody's arms
    loose         hands in close-up, without an arm
    faces         the faces of everybody
    everybody     all people of single frames, small ones too
    collect       finished blocks to the keypoints of the players

Everything from `chain` on is numpy on a few numbers a frame and the same on every device.
"""
