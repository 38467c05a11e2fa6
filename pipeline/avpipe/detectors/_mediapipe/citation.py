"""What MediaPipe is, for whoever uses its models."""

CITATION = """\
@article{lugaresi2019mediapipe,
  author  = {Lugaresi, Camillo and others},
  title   = {MediaPipe: A Framework for Building Perception Pipelines},
  journal = {arXiv preprint arXiv:1906.08172},
  year    = {2019}
}

@article{bazarevsky2020blazepose,
  author  = {Bazarevsky, Valentin and others},
  title   = {BlazePose: On-device Real-time Body Pose Tracking},
  journal = {arXiv preprint arXiv:2006.10204},
  year    = {2020}
}

@article{zhang2020mediapipe,
  author  = {Zhang, Fan and others},
  title   = {MediaPipe Hands: On-device Real-time Hand Tracking},
  journal = {arXiv preprint arXiv:2006.10214},
  year    = {2020}
}"""
