# Two commands need nothing before them: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCE ?=
DEMO := demo

EXTRAS := ort,openvino,video,eval,quality,export,models,diffusion,bench,tensorrt-rtx,dev
BUNDLE := models/bundles/road-camvid.saccade
WEIGHTS := models/saccade_models/weights/edanet-camvid.safetensors

.PHONY: demo test test-runtime bench-peers lint bundle clean

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $@

demo: $(VENV)/.installed
	$(BIN)/saccade export saccade_models.edanet:EDANet --weights $(WEIGHTS) $(BUNDLE_OPTIONS) -o $(DEMO)/road-camvid.saccade
	$(BIN)/saccade verify $(DEMO)/road-camvid.saccade
	$(BIN)/saccade run $(DEMO)/road-camvid.saccade --source scenes:seed=7,frames=60,size=960x540 --contact-sheet -o $(DEMO)/drive
	$(if $(SOURCE),$(BIN)/saccade run $(DEMO)/road-camvid.saccade --source '$(SOURCE)' --contact-sheet -o $(DEMO)/source)
	@echo "the bundle is $(DEMO)/road-camvid.saccade, overlay video and contact sheet are in $(DEMO)/drive$(if $(SOURCE), and $(DEMO)/source)"

test: $(VENV)/.installed
	$(BIN)/python -m pytest

# The runtime alone, as a device has it: no PyTorch. PYTHON chooses the version: make test-runtime PYTHON=python3.10
RUNTIME_VENV := .venv-runtime
test-runtime:
	$(PYTHON) -m venv $(RUNTIME_VENV)
	$(RUNTIME_VENV)/bin/python -m pip install --quiet --disable-pip-version-check '.[ort,video,eval]' pytest pytest-timeout hypothesis
	$(RUNTIME_VENV)/bin/python -m pytest tests/unit/runtime tests/device -m 'not torch'

lint: $(VENV)/.installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports

# Other ways that `saccade bench --peer` measures, each set in an environment of its own: several GB, and only by this.
# pnnx without what it asks for: its program, which is all that is used, needs no PyTorch.
PEERS := .venv-peers
ULTRALYTICS := .venv-ultralytics
PEER_INSTALL := python -m pip install --quiet --disable-pip-version-check --constraint benchmarks/peers-constraints.txt
bench-peers:
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/$(PEER_INSTALL) onnxruntime opencv-python-headless openvino openvino-model-api onnx ncnn
	$(PEERS)/bin/$(PEER_INSTALL) --no-deps pnnx
	$(PYTHON) -m venv $(ULTRALYTICS)
	$(ULTRALYTICS)/bin/$(PEER_INSTALL) ultralytics torch torchvision onnx onnxslim onnxruntime openvino

# The terms and the figures travel inside the bundle. `make bundle` gives the committed files again.
BUNDLE_OPTIONS = --classes models/camvid-classes.txt --imgsz 360x480 --name road-camvid \
	--dataset 'CamVid train split (SegNet), 367 images' \
	--license 'non-commercial research, as the terms of CamVid'

PLATES := models/bundles/plates.saccade
PLATES_WEIGHTS := models/saccade_models/weights/yolox-nano-plates.safetensors
PLATES_OPTIONS = --task detect --head yolox-one-to-one --arg classes=1 --arg one_to_one=true \
	--classes models/plate-classes.txt --imgsz 544x960 --name plates \
	--dataset 'RobertLucian/license-plate-dataset, dash camera, 365 images; backbone from YOLOX-nano (COCO)' \
	--license 'Apache-2.0 (YOLOX), data MIT'

DENOISE := models/bundles/denoise.saccade
DENOISE_WEIGHTS := models/saccade_models/weights/bridge-denoise.safetensors
DENOISE_OPTIONS = --task restore --mode denoise --steps 1,2,4 --name denoise \
	--dataset 'BSDS500 train and test images, 400, with drawn noise' \
	--license 'non-commercial research, as the terms of BSDS500'

bundle: $(VENV)/.installed
	$(BIN)/saccade export saccade_models.edanet:EDANet --weights $(WEIGHTS) $(BUNDLE_OPTIONS) -o $(BUNDLE)
	$(BIN)/saccade export saccade_models.yolox:YOLOX --weights $(PLATES_WEIGHTS) $(PLATES_OPTIONS) -o $(PLATES)
	$(BIN)/saccade export saccade_models.bridge_unet:BridgeUNet --weights $(DENOISE_WEIGHTS) $(DENOISE_OPTIONS) -o $(DENOISE)

clean:
	rm -rf $(VENV) $(RUNTIME_VENV) $(PEERS) $(ULTRALYTICS) $(DEMO) build dist
