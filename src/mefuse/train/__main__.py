"""`python -m mefuse.train RECIPE --pictures DIR -o weights/ipl.safetensors`."""

from mefuse.train.loop import main

if __name__ == "__main__":
    main()
